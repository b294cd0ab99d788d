//! Garbage from both sides: requests and answers of origins made by random changes of good ones, over real sockets. Nobody
//! is left waiting, nothing in the daemon panics, and the next one is served as ever.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::fixture::{Ask, Daemon, Image, Origin};

#[path = "../../../../fuzz/short.rs"]
mod short;

const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn is_sound(daemon: &Daemon, target: &str, image: &Image) {
    assert!(daemon.logged("panicked").is_empty(), "{:?}", daemon.logged("panicked"));
    daemon.get(target).is(&image.bytes);
    daemon.idle();
    daemon.get(target).is(&image.bytes);
}

#[test]
fn requests_that_are_garbage_harm_nobody() {
    let image = Image::new(1, 10_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    short::run("request", 1_500, |data| {
        for address in [daemon.address, daemon.admin] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // Who is hung up on in the middle of writing has had his answer.
            stream.write_all(data).ok();
            stream.shutdown(Shutdown::Write).ok();
            let mut answer = Vec::new();
            if let Err(error) = stream.read_to_end(&mut answer) {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "nobody ends this connection");
            }
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", answer.escape_ascii());
        }
    });
    is_sound(&daemon, "/sound", &image);
}

#[test]
fn answers_that_are_garbage_harm_nobody() {
    let image = Image::new(2, 10_000);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(Mutex::new(Vec::<Vec<u8>>::new()));
    let (shared, good) = (answers.clone(), image.bytes.clone());
    // One answer for each name, and a hang-up.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), shared, good) = (stream, shared.clone(), good.clone()) else { continue };
            thread::spawn(move || {
                let mut line = String::new();
                BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).ok();
                let number = line.split([' ', '/']).find_map(|word| word.parse::<usize>().ok());
                match number.and_then(|number| shared.lock().unwrap().get(number).cloned()) {
                    Some(answer) => drop(stream.write_all(&answer)),
                    None => {
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"x\"\r\n\r\n", good.len());
                        stream.write_all(&[head.as_bytes(), &good].concat()).ok();
                    }
                }
            });
        }
    });
    let temp = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), &format!("http://{address}"), &[]);
    short::run("response", 250, |data| answers.lock().unwrap().push(data.to_vec()));
    let count = answers.lock().unwrap().len();
    let next = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    // Some answer, or a connection that is hung up on, and in time: the client would panic otherwise.
                    let answer = Ask::get(&format!("/{number}")).of(daemon.address);
                    assert!(answer.status >= 200, "{}", answers.lock().unwrap()[number].escape_ascii());
                }
            });
        }
    });
    daemon.idle();
    is_sound(&daemon, "/sound", &image);
}
