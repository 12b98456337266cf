"""Agent memory: threads, messages, recall and working memory."""
