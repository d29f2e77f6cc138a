//! A peer that follows a script, byte by byte, on threads of its own.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::{EgressRules, Target};

/// One act of a peer.
#[derive(Clone)]
pub enum Act {
    /// Reads one request, head and body.
    Read,
    /// Writes these bytes.
    Write(String),
    /// Writes these bytes one by one, with this pause between them.
    Drip(String, Duration),
    /// Writes these bytes over and over until the client closes the connection.
    Flood(&'static str),
    /// Waits.
    Pause(Duration),
    /// Keeps the connection open and reads until the client closes it.
    Hold,
}

/// A listening peer. Connections beyond the script are accepted, recorded and closed.
pub struct Peer {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Peer {
    /// One list of acts per connection; at the end of its list a connection is closed.
    pub fn start<const N: usize>(script: [&[Act]; N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let peer = Self { address, received: Arc::clone(&received) };
        let mut script = script.map(<[Act]>::to_vec).into_iter();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let acts = script.next().unwrap_or_default();
                let index = {
                    let mut all = received.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                let received = Arc::clone(&received);
                std::thread::spawn(move || play(stream, &acts, &|bytes| received.lock().unwrap()[index].extend(bytes)));
            }
        });
        peer
    }

    /// Answers every request of one connection with `answers`, in order, then holds it.
    pub fn answering<const N: usize>(answers: [&str; N]) -> Self {
        let mut acts = Vec::new();
        for answer in answers {
            acts.extend([Act::Read, Act::Write(answer.to_owned())]);
        }
        acts.push(Act::Hold);
        Self::start([&acts])
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn target(&self) -> Target {
        let rules = EgressRules::new(vec!["127.0.0.0/8".parse().unwrap()]);
        Target::parse(&self.url("/"), &rules).unwrap()
    }

    pub fn connections(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// What each connection received so far.
    pub fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }
}

/// An answer with a length.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn play(mut stream: TcpStream, acts: &[Act], record: &dyn Fn(Vec<u8>)) {
    for act in acts {
        let done = match act {
            Act::Read => read_request(&mut stream, record),
            Act::Write(text) => stream.write_all(text.as_bytes()).is_ok(),
            Act::Drip(text, pause) => text.bytes().all(|byte| {
                std::thread::sleep(*pause);
                stream.write_all(&[byte]).is_ok()
            }),
            Act::Flood(text) => {
                let many = text.repeat(4096);
                while stream.write_all(many.as_bytes()).is_ok() {}
                false
            }
            Act::Pause(time) => {
                std::thread::sleep(*time);
                true
            }
            Act::Hold => read_to_end(&mut stream, record),
        };
        if !done {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn read_request(stream: &mut TcpStream, record: &dyn Fn(Vec<u8>)) -> bool {
    let mut all = Vec::new();
    let mut byte = [0];
    while !all.ends_with(b"\r\n\r\n") {
        let Ok(1) = stream.read(&mut byte) else {
            record(all);
            return false;
        };
        all.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&all).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    let done = stream.read_exact(&mut body).is_ok();
    all.extend(body);
    record(all);
    done
}

fn read_to_end(stream: &mut TcpStream, record: &dyn Fn(Vec<u8>)) -> bool {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        record(buffer[..count].to_vec());
    }
    false
}
