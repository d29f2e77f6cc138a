//! The trail on a disk that forgets: what was acknowledged is there, what is wrong is said.

mod durability;
mod full_disk;
mod independent;
mod index;
mod on_disk;
mod properties;
mod reading;
mod recovery;
mod retaining;
mod rollback;
mod support;
mod tampering;
