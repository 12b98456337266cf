"""Tables of vectors: one partition of `Embedding` for each `VectorIndex`."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import models
from django.db.models.functions import Cast, Now
from pgvector.django import (
    CosineDistance,
    HalfVectorField,
    L2Distance,
    MaxInnerProduct,
    VectorField,
)

from mastra_engine.models.fields import Decoder, as_value, new_id
from mastra_engine.validation.vectors import IndexDefinition

DISTANCES = {"cosine": CosineDistance, "euclidean": L2Distance, "dotproduct": MaxInnerProduct}
FIELDS = {"vector": VectorField, "halfvec": HalfVectorField}


class VectorIndex(models.Model):
    """A set of vectors of one length, searched by one metric."""

    id = models.AutoField(primary_key=True)
    name = models.TextField(unique=True, db_collation="C")
    dimension = models.PositiveIntegerField()
    metric = models.TextField()
    index_type = models.TextField()
    storage = models.TextField()
    language = models.TextField()
    m = models.PositiveSmallIntegerField()
    ef_construction = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "vector indexes"

    def __str__(self) -> str:
        return f"Vector index {self.pk}"

    def to_definition(self) -> IndexDefinition:
        """Return it as engines pass it around."""
        return as_value(self, IndexDefinition)


class EmbeddingQuerySet(models.QuerySet["Embedding"]):
    def nearest(
        self, index: VectorIndex, vector: Sequence[float], *, namespace: str | None = None
    ) -> EmbeddingQuerySet:
        """Order the vectors of an index by their `distance` to `vector`, the closest first.

        The order is by the index's operator and cast, so that PostgreSQL can use its HNSW.
        """
        field = FIELDS[index.storage](dimensions=index.dimension)
        distance = DISTANCES[index.metric](Cast("embedding", field), list(vector))
        found = self.filter(vector_index=index)
        if namespace is not None:
            found = found.filter(namespace=namespace)
        return found.annotate(distance=distance).order_by("distance")


class Embedding(models.Model):
    """A vector. The table's own key is (index_id, row_id), which Django's admin cannot register."""

    row_id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    vector_index = models.ForeignKey(
        VectorIndex,
        on_delete=models.DO_NOTHING,
        db_column="index_id",
        db_constraint=False,
        db_index=False,
        related_name="embeddings",
    )
    vector_id = models.TextField(db_column="id", db_collation="C")
    namespace = models.TextField(db_collation="C", db_default="")
    document = models.TextField(null=True)  # noqa: DJ001 - null is "no document"
    metadata = models.JSONField(decoder=Decoder)
    embedding = VectorField()
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    objects = EmbeddingQuerySet.as_manager()

    def __str__(self) -> str:
        return f"Embedding {self.pk}"
