//! What survives: power cuts, kills, full and failing disks, a store that is gone, nodes that share one, and what the trail
//! proves afterwards. Every test is an attack on a sentence of the kind "nothing acknowledged is missing".

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "what was measured is said")]

mod api;
mod load;
mod person;
mod process;
mod records;
mod rollback;
mod world;

mod contents;
mod crash;
mod disk;
mod evidence;
mod fleet;
mod hang;
mod kill;
mod leaving;
mod once;
mod order;
mod outage;
mod retaining;
