//! A proxy between a client and a server that breaks what it is told to break.

#![allow(dead_code)] // each test binary uses its part

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It is answered with this status and never gets to the server.
    Refuse(u16),
    /// The server does what it asks, and the answer is lost.
    LoseAnswer,
}

/// A plan: requests whose path ends so, how many of them pass before, how many are broken, and how.
pub type Plan = (&'static str, usize, usize, Fault);

/// A proxy on a free port, which ends with the process.
pub struct Proxy {
    pub address: String,
    /// Method, path, `Content-Encoding` and answered status of each request, 0 for a lost answer.
    pub seen: Arc<Mutex<Vec<(String, String, String, u16)>>>,
}

impl Proxy {
    /// Starts a proxy before a server.
    pub fn before(server: &str, plans: &[Plan]) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let plans: Vec<Plan> = plans.to_vec();
        let counts = Arc::new(Mutex::new(vec![0_usize; plans.len()]));
        let (server, log) = (server.to_owned(), Arc::clone(&seen));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, plans) = (server.clone(), plans.clone());
                let (counts, log) = (Arc::clone(&counts), Arc::clone(&log));
                std::thread::spawn(move || {
                    let _ = connection(client, &server, &plans, &counts, &log);
                });
            }
        });
        Proxy { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Statuses of the requests whose path ends so.
    pub fn statuses(&self, end: &str) -> Vec<u16> {
        let seen = self.seen.lock().expect("no panic");
        seen.iter().filter(|(_, path, ..)| path.ends_with(end)).map(|one| one.3).collect()
    }
}

/// The first line, the headers and the body of a message, or nothing at the end.
fn message(from: &mut impl BufRead) -> std::io::Result<Option<(String, Vec<String>, Vec<u8>)>> {
    let mut first = String::new();
    if from.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
        headers.push(line);
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some((first.trim_end().to_owned(), headers, body)))
}

fn answer(client: &mut TcpStream, status: u16) -> std::io::Result<()> {
    let text = "{\"error\":{\"code\":\"BROKEN_ON_PURPOSE\",\"message\":\"try again\"}}";
    let kind = "Content-Type: application/json";
    let length = text.len();
    write!(client, "HTTP/1.1 {status} No\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{text}")
}

/// Ends a connection so that the other side reads what was said last.
fn closed(client: &TcpStream, reader: &mut impl BufRead) -> std::io::Result<()> {
    client.shutdown(std::net::Shutdown::Write)?;
    client.set_read_timeout(Some(Duration::from_secs(1)))?;
    let _ = std::io::copy(reader, &mut std::io::sink());
    Ok(())
}

fn connection(
    client: TcpStream,
    server: &str,
    plans: &[Plan],
    counts: &Mutex<Vec<usize>>,
    log: &Mutex<Vec<(String, String, String, u16)>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut client = client;
    client.set_nodelay(true)?;
    loop {
        // Between requests any time may pass, within one it may not.
        client.set_read_timeout(None)?;
        if reader.fill_buf()?.is_empty() {
            return Ok(());
        }
        client.set_read_timeout(Some(Duration::from_secs(2)))?;
        let Ok(Some((first, headers, body))) = message(&mut reader) else {
            // Less than was announced: the server would wait longer, and end it in the same way.
            answer(&mut client, 408)?;
            return closed(&client, &mut reader);
        };
        let mut words = first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let path = words.next().unwrap_or_default().to_owned();
        let encoding = headers.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-encoding").then(|| value.trim().to_owned())
        });
        let mut fault = None;
        for (i, (end, after, many, what)) in plans.iter().enumerate() {
            if path.ends_with(end) {
                let mut counts = counts.lock().expect("no panic");
                counts[i] += 1;
                if counts[i] > *after && counts[i] <= after + many {
                    fault = Some(*what);
                }
            }
        }
        let note = |status| {
            let one = (method.clone(), path.clone(), encoding.clone().unwrap_or_default(), status);
            log.lock().expect("no panic").push(one);
        };
        if let Some(Fault::Refuse(status)) = fault {
            note(status);
            answer(&mut client, status)?;
            continue;
        }
        let mut upstream = TcpStream::connect(server)?;
        write!(upstream, "{first}\r\n")?;
        for line in &headers {
            if !line.to_ascii_lowercase().starts_with("connection:") {
                write!(upstream, "{line}\r\n")?;
            }
        }
        upstream.write_all(b"Connection: close\r\n\r\n")?;
        upstream.write_all(&body)?;
        let Some((status, headers, body)) = message(&mut BufReader::new(upstream))? else {
            return Ok(());
        };
        if matches!(fault, Some(Fault::LoseAnswer)) {
            note(0);
            return Ok(());
        }
        note(status.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0));
        write!(client, "{status}\r\n")?;
        for line in &headers {
            if !line.to_ascii_lowercase().starts_with("connection:") {
                write!(client, "{line}\r\n")?;
            }
        }
        client.write_all(b"\r\n")?;
        client.write_all(&body)?;
        if String::from_utf8_lossy(&body).contains("BROKEN_ENCODING") {
            // As the server does: what follows is no request, and is not read as one.
            return closed(&client, &mut reader);
        }
    }
}
