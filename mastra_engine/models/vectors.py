"""Tables of vectors: `Embedding` has one partition per `VectorIndex`."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import models
from django.db.models.functions import Cast, Now
from django.utils.translation import gettext_lazy as _
from pgvector import SparseVector, Vector
from pgvector.django import (
    CosineDistance,
    HalfVectorField,
    L2Distance,
    MaxInnerProduct,
    SparseVectorField,
    VectorField,
)

from mastra_engine.models.fields import Decoder, EngineModel, as_value, new_id
from mastra_engine.validation.vectors import IndexDefinition

DISTANCES = {"cosine": CosineDistance, "euclidean": L2Distance, "dotproduct": MaxInnerProduct}
#: The type in which distances are computed, by storage. `bit` finds candidates by their bits, and
#: compares these by their numbers.
FIELDS = {
    "vector": VectorField,
    "halfvec": HalfVectorField,
    "bit": VectorField,
    "sparsevec": SparseVectorField,
}


class VectorIndex(EngineModel):
    """A set of vectors of one dimension, searched by one metric."""

    id = models.AutoField(_("ID"), primary_key=True)
    name = models.TextField(_("name"), unique=True, db_collation="C")
    dimension = models.PositiveIntegerField(
        _("dimension"), help_text=_("How many numbers each vector has.")
    )
    metric = models.TextField(_("metric"), help_text=_("cosine, euclidean or dotproduct."))
    index_type = models.TextField(
        _("index type"),
        help_text=_("hnsw and ivfflat search approximately; flat compares every vector."),
    )
    storage = models.TextField(
        _("storage"),
        help_text=_("The type of the vectors in the search structure, which determines its size."),
    )
    language = models.TextField(
        _("language"), help_text=_("The text search configuration of hybrid searches.")
    )
    m = models.PositiveSmallIntegerField(
        _("links per vector (m)"),
        help_text=_("HNSW: more links find more of the nearest vectors and take more space."),
    )
    ef_construction = models.PositiveSmallIntegerField(
        _("candidates at insertion (ef_construction)"),
        help_text=_(
            "HNSW: more candidates find more of the nearest vectors and insert more slowly."
        ),
    )
    model = models.TextField(
        _("model"),
        db_default="",
        blank=True,
        help_text=_("The model that the engine embeds with; empty if it is not known."),
    )
    has_words = models.BooleanField(
        db_default=True, editable=False, help_text=_("Whether lexical search finds every document.")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("vector index")
        verbose_name_plural = _("vector indexes")

    def to_definition(self) -> IndexDefinition:
        """Return the row as the definition that engines work with."""
        return as_value(self, IndexDefinition)


class EmbeddingQuerySet(models.QuerySet["Embedding"]):
    def nearest(
        self, index: VectorIndex, vector: Sequence[float], *, namespace: str | None = None
    ) -> EmbeddingQuerySet:
        """Order the vectors of an index by their `distance` to `vector`, the closest first.

        The expression has the operator and the cast of the index, so that PostgreSQL can use the
        index's HNSW structure. With the storage `bit` all vectors are compared: the structure finds
        candidates only, which `engine.vectors.query` then compares.
        """
        field = FIELDS[index.storage](dimensions=index.dimension)
        sparse = index.storage == "sparsevec"
        column = "sparse_embedding" if sparse else "embedding"
        target = SparseVector(list(vector)) if sparse else Vector(list(vector))
        distance = DISTANCES[index.metric](Cast(column, field), target)
        vectors = self.filter(vector_index=index)
        if namespace is not None:
            vectors = vectors.filter(namespace=namespace)
        return vectors.annotate(distance=distance).order_by("distance")


class Embedding(EngineModel):
    """A vector with its document and metadata.

    The key of the table is (index_id, row_id). The model declares `row_id` alone, because Django's
    admin does not register models with composite keys.
    """

    row_id = models.UUIDField(_("row ID"), primary_key=True, default=new_id, editable=False)
    vector_index = models.ForeignKey(
        VectorIndex,
        verbose_name=_("vector index"),
        on_delete=models.DO_NOTHING,
        db_column="index_id",
        db_constraint=False,
        db_index=False,
        related_name="embeddings",
    )
    vector_id = models.TextField(_("ID"), db_column="id", db_collation="C")
    namespace = models.TextField(
        _("namespace"),
        db_collation="C",
        db_default="",
        help_text=_("Searches can be limited to one namespace."),
    )
    document = models.TextField(_("document"), null=True)  # noqa: DJ001 - null is "no document"
    metadata = models.JSONField(_("metadata"), decoder=Decoder)
    #: The vector is in one of these columns, which the index's storage determines.
    embedding = VectorField(null=True)
    sparse_embedding = SparseVectorField(null=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    objects = EmbeddingQuerySet.as_manager()

    class Meta:
        verbose_name = _("embedding")
        verbose_name_plural = _("embeddings")

    def numbers(self) -> list[float]:
        """Return the vector, also with those numbers that are zero."""
        sparse = self.sparse_embedding
        return list(self.embedding) if sparse is None else sparse.to_list()
