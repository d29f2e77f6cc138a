//! The judge: grants, snapshot, Cedar, decisions and their explanations: pure.
