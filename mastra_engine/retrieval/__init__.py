"""Chunking, score fusion and reranking."""
