//! Servers and their clients for tests of networks: on TCP, on UDP, and for names.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

/// The port on which `serve` answers on TCP and UDP.
pub const PORT: u16 = 7000;

/// The name that the name server knows, and its addresses.
pub const NAME: &str = "server.test";
const ADDRESSES: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(203, 0, 113, 7), Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 7));

const LIMIT: Duration = Duration::from_secs(10);

/// Serves each address forever, and names as well if port 53 is available, and reports when it is ready.
pub fn serve(addresses: &[String]) -> ! {
    for address in addresses {
        let ip: IpAddr = address.parse().expect("an address");
        let tcp = TcpListener::bind((ip, PORT)).expect("bind TCP");
        thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let _ = (&stream).write_all(b"over tcp\n");
            }
        });
        let udp = UdpSocket::bind((ip, PORT)).expect("bind UDP");
        thread::spawn(move || answer(&udp, |_| Some(b"over udp\n".to_vec())));
        if let Ok(names) = UdpSocket::bind((ip, 53)) {
            thread::spawn(move || answer(&names, address_of));
        }
    }
    println!("serving");
    loop {
        thread::park();
    }
}

fn answer(socket: &UdpSocket, reply: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let mut buffer = [0; 512];
    while let Ok((count, peer)) = socket.recv_from(&mut buffer) {
        if let Some(reply) = reply(&buffer[..count]) {
            let _ = socket.send_to(&reply, peer);
        }
    }
}

/// The answer to a query for an address; RFC 1035, 4.1.
fn address_of(question: &[u8]) -> Option<Vec<u8>> {
    let wire_name: Vec<u8> = NAME
        .split('.')
        .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat())
        .chain([0])
        .collect();
    let known = question.get(12..)?.starts_with(&wire_name);
    let end = 12 + question.get(12..)?.iter().position(|byte| *byte == 0)? + 5;
    let record = match question.get(end - 3)? {
        1 if known => ADDRESSES.0.octets().to_vec(),
        28 if known => ADDRESSES.1.octets().to_vec(),
        _ => Vec::new(),
    };
    let mut reply = question.get(..end)?.to_vec();
    // Either an answer without error, or that there is no such name; one question, and at most one record.
    reply[2..4].copy_from_slice(if known { &[0x81, 0x80] } else { &[0x81, 0x83] });
    reply[6..12].copy_from_slice(&[0, u8::from(!record.is_empty()), 0, 0, 0, 0]);
    if !record.is_empty() {
        reply.extend([0xc0, 12, 0, *question.get(end - 3)?, 0, 1, 0, 0, 0, 60, 0, record.len() as u8]);
        reply.extend(record);
    }
    Some(reply)
}

/// What a server answers, or why it does not.
#[must_use]
pub fn ask(protocol: &str, server: &str) -> String {
    let server: SocketAddr = server.parse().expect("ADDRESS:PORT");
    let answer = if protocol == "tcp" { ask_tcp(server) } else { ask_udp(server) };
    answer.unwrap_or_else(|error| format!("{error}\n"))
}

fn ask_tcp(server: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn ask_udp(server: SocketAddr) -> std::io::Result<String> {
    let any = if server.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(LIMIT / 10))?;
    let mut buffer = [0; 512];
    // A datagram may be lost.
    for _ in 0..9 {
        socket.send(b"question")?;
        if let Ok(count) = socket.recv(&mut buffer) {
            return Ok(String::from_utf8_lossy(&buffer[..count]).into_owned());
        }
    }
    socket.recv(&mut buffer).map(|count| String::from_utf8_lossy(&buffer[..count]).into_owned())
}
