//! The `ambit` program.

use std::{io, process::ExitCode};

use ambit::{Streams, cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let (mut out, mut err) = (io::stdout(), io::stderr());
    match runtime {
        Ok(runtime) => {
            let streams = Streams { out: &mut out, err: &mut err };
            ExitCode::from(runtime.block_on(cli(std::env::args_os(), streams)))
        }
        Err(error) => {
            let _ = io::Write::write_fmt(&mut err, format_args!("ambit: cannot start its threads: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
