//! The MCP wire protocol, both eras: pure.
