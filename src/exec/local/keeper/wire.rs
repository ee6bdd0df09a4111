//! Messages with descriptors between a host and its keeper: datagrams that arrive whole or not at all, over a socket pair that
//! has no name and so needs no place on any file system and no namespace in common.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exec::local::launch::memory_file;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Wire {
    socket: OwnedFd,
}

/// How many descriptors come with one message at most.
const MOST_DESCRIPTORS: usize = 6;
/// A message that is longer than this travels in a file: a datagram has to fit into the socket's buffer.
const LONGEST_DATAGRAM: usize = 8 << 10;
/// The first byte of a message says where the rest is.
const HERE: u8 = b'h';
const IN_A_FILE: u8 = b'f';

impl Wire {
    /// Both ends of a new connection.
    pub(super) fn pair() -> io::Result<(Wire, Wire)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Wire { socket: one }, Wire { socket: other }))
    }

    /// Sends a message with descriptors. An error means that the other side is gone, or that nothing was sent.
    pub(super) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut bytes = vec![HERE];
        serde_json::to_writer(&mut bytes, message)?;
        if bytes.len() <= LONGEST_DATAGRAM {
            return self.send_bytes(&bytes, descriptors);
        }
        let mut file = memory_file("message")?;
        file.write_all(&bytes[1..])?;
        let mut with_file = descriptors.to_vec();
        with_file.push(file.as_fd());
        self.send_bytes(&[IN_A_FILE], &with_file)
    }

    fn send_bytes(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        loop {
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            match rustix::net::sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives the next message, waiting for it; `None` when the other side is gone and has left no more.
    pub(super) fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; LONGEST_DATAGRAM];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let (length, mut descriptors) = loop {
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => {
                    let rights = control.drain().filter_map(|message| match message {
                        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                        _ => None,
                    });
                    break (received.bytes, rights.flatten().collect::<Vec<OwnedFd>>());
                }
                Err(rustix::io::Errno::INTR) => {}
                // What the other side did not read when it went makes this of the end.
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        match bytes[..length].split_first() {
            None => Ok(None),
            Some((&IN_A_FILE, _)) => {
                let mut file = File::from(descriptors.pop().ok_or(io::ErrorKind::InvalidData)?);
                let mut text = Vec::new();
                file.rewind()?;
                file.read_to_end(&mut text)?;
                Ok(Some((serde_json::from_slice(&text)?, descriptors)))
            }
            Some((_, text)) => Ok(Some((serde_json::from_slice(text)?, descriptors))),
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<OwnedFd> for Wire {
    fn from(socket: OwnedFd) -> Self {
        Wire { socket }
    }
}

impl From<Wire> for OwnedFd {
    fn from(wire: Wire) -> Self {
        wire.socket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_with_their_descriptors_and_then_the_end() {
        let (here, there) = Wire::pair().unwrap();
        let mut file = memory_file("x").unwrap();
        file.write_all(b"content").unwrap();
        let long = "y".repeat(1 << 20);
        here.send(&"short", &[file.as_fd()]).unwrap();
        here.send(&long, &[file.as_fd()]).unwrap();
        drop(here);
        for expected in ["short", &long] {
            let (text, mut descriptors) = there.receive::<String>().unwrap().unwrap();
            assert!(text == expected, "{} bytes", text.len());
            assert_eq!(descriptors.len(), 1);
            let mut content = String::new();
            let mut file = File::from(descriptors.remove(0));
            file.rewind().unwrap();
            file.read_to_string(&mut content).unwrap();
            assert_eq!(content, "content");
        }
        assert!(there.receive::<String>().unwrap().is_none());
        assert!(there.send(&"late", &[]).is_err());
    }
}
