"""Extractors of facts that a project names in its settings."""

from __future__ import annotations

from mastra_engine.extractors.openai_extractor import OpenAIFactExtractor

__all__ = ["OpenAIFactExtractor"]
