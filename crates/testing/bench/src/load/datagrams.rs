//! Datagrams in batches: a system call for many.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::UdpSocket,
    os::fd::AsRawFd,
};

use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg,
};

/// The most datagrams of one system call.
pub(crate) const BATCH_COUNT_MAX: usize = 64;

/// Room for a datagram, in bytes: more than any server sends over UDP.
const DATAGRAM_SIZE_MAX: usize = 4096;

/// A socket, and buffers for the datagrams of one receive call.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    buffers: Vec<[u8; DATAGRAM_SIZE_MAX]>,
}

/// Who sent a datagram, and its size.
type Received = (Option<SockaddrStorage>, usize);

impl Datagrams {
    pub(crate) fn new(socket: UdpSocket) -> Self {
        Self {
            socket,
            buffers: vec![[0; DATAGRAM_SIZE_MAX]; BATCH_COUNT_MAX],
        }
    }

    /// Sends these in order, each to its address, or to the peer of a connected socket.
    /// Returns how many were sent, which may be fewer.
    pub(crate) fn send(&self, batch: &[(Option<SockaddrStorage>, &[u8])]) -> io::Result<usize> {
        let slices: Vec<_> = batch.iter().map(|(_, data)| [IoSlice::new(data)]).collect();
        let addresses: Vec<_> = batch.iter().map(|(address, _)| *address).collect();
        let mut headers = MultiHeaders::preallocate(batch.len(), None);
        let none: [ControlMessage<'_>; 0] = [];
        let sent = sendmmsg(
            self.socket.as_raw_fd(),
            &mut headers,
            &slices,
            addresses,
            none,
            MsgFlags::empty(),
        )?;
        Ok(sent.count())
    }

    /// Waits for one datagram, and takes those that are there by then too.
    pub(crate) fn receive(
        &mut self,
    ) -> io::Result<impl Iterator<Item = (Option<SockaddrStorage>, &mut [u8])>> {
        let received = self.receive_into_buffers()?;
        let buffers = self.buffers.iter_mut().zip(received);
        Ok(buffers.map(|(buffer, (from, size))| (from, &mut buffer[..size])))
    }

    fn receive_into_buffers(&mut self) -> io::Result<Vec<Received>> {
        let buffers = self.buffers.iter_mut();
        let mut slices: Vec<_> = buffers.map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let mut headers = MultiHeaders::preallocate(BATCH_COUNT_MAX, None);
        let received = recvmmsg(
            self.socket.as_raw_fd(),
            &mut headers,
            &mut slices,
            MsgFlags::MSG_WAITFORONE,
            None,
        )?;
        Ok(received.map(|data| (data.address, data.bytes)).collect())
    }
}
