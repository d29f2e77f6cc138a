//! Nouns, ids, secrets, canonical JSON, trail events: pure.
