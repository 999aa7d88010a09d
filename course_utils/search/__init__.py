"""Image search: which vectors point in the most similar direction? Exact, or approximate with FAISS.

Vectors are normalized once, so that the inner product of two is their cosine. Exact search computes
all of them; approximate search (Johnson et al. 2021, "Billion-scale similarity search with GPUs")
looks at a few, found by a graph or in cells, and may miss some.
"""

from course_utils.search.approximate import FaissIndex
from course_utils.search.exact import ImageIndex, SearchResult, best, normalized

__all__ = ["FaissIndex", "ImageIndex", "SearchResult", "best", "normalized"]
