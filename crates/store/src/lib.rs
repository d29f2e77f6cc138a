//! The only SQL: one text per statement for SQLite and PostgreSQL.
