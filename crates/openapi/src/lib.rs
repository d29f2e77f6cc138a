//! OpenAPI documents compiled to tools: pure.
