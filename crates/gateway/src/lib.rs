//! The corridor: one file per stage, from HTTP in to HTTP out.
