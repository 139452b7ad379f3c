//! Ports to listen on.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// How many connections may wait to be accepted. When thousands of clients come
/// back at once, one that finds no place here tries again only a second later.
/// The system may allow less (`net.core.somaxconn`).
const BACKLOG: u32 = 4_096;

/// Listens on an address, with room for many who come at once.
///
/// # Errors
/// If the address is taken or not this machine's.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A node that starts again need not wait for the connections of its former
    // life to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
