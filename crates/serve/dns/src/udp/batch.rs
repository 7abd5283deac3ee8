//! Datagrams that are received, answered and sent together.

use std::{
    array,
    io::{IoSlice, IoSliceMut},
    net::UdpSocket,
    os::fd::AsRawFd,
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg, sendmsg},
};

use super::AddressFamily;
use crate::{QUERY_SIZE_MAX, UDP_SIZE_MAX};

/// The largest number of datagrams in a batch: so many that the system calls cost little for each,
/// and so few that the first does not wait for long.
pub(super) const BATCH_SIZE: usize = 32;

/// The buffers of a thread, allocated once.
pub(super) struct Batch<F: AddressFamily> {
    datagrams: Vec<[u8; QUERY_SIZE_MAX]>,
    answers: Vec<Vec<u8>>,
    received: MultiHeaders<F::Client>,
    sent: MultiHeaders<F::Client>,
    /// Whether the socket receives datagrams for several addresses of this machine.
    is_wildcard: bool,
    replies: Vec<Reply<F>>,
    /// Replies that are sent from the same address: indexes of the answers, and destinations.
    group: Vec<usize>,
    clients: Vec<Option<F::Client>>,
}

/// An answer that was not sent yet.
struct Reply<F: AddressFamily> {
    answer: usize,
    destination: Destination<F>,
}

/// Where the answer to a datagram goes.
pub(super) struct Destination<F: AddressFamily> {
    pub(super) client: F::Client,
    /// The address to send from, if the socket has more than one.
    pub(super) source: Option<F::Source>,
}

impl<F: AddressFamily> Destination<F> {
    /// Sends one answer there, or drops it if the queue is full.
    pub(super) fn send(&self, socket: &UdpSocket, answer: &[u8]) -> nix::Result<()> {
        let control = self.source.as_ref().map(F::control);
        let (flags, client) = (MsgFlags::MSG_DONTWAIT, Some(&self.client));
        let message = [IoSlice::new(answer)];
        sendmsg(
            socket.as_raw_fd(),
            &message,
            control.as_slice(),
            flags,
            client,
        )?;
        Ok(())
    }
}

impl<F: AddressFamily> Batch<F> {
    pub(super) fn new(is_wildcard: bool) -> Self {
        Self {
            datagrams: vec![[0; QUERY_SIZE_MAX]; BATCH_SIZE],
            answers: array::from_fn::<_, BATCH_SIZE, _>(|_| {
                Vec::with_capacity(UDP_SIZE_MAX.into())
            })
            .into(),
            received: headers::<F>(is_wildcard),
            sent: headers::<F>(is_wildcard),
            is_wildcard,
            replies: Vec::with_capacity(BATCH_SIZE),
            group: Vec::with_capacity(BATCH_SIZE),
            clients: Vec::with_capacity(BATCH_SIZE),
        }
    }

    /// Waits for datagrams, receives those that are there, and answers each. `answer` gets the
    /// datagram and where an answer goes, and returns whether it wrote one. `is_stopped` is
    /// checked after the wait, because a stop ends the wait without a datagram.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        is_stopped: impl Fn() -> bool,
        mut answer: impl FnMut(&[u8], &Destination<F>, &mut Vec<u8>) -> bool,
    ) -> nix::Result<()> {
        let mut is_source_lost = false;
        let mut buffers = self.datagrams.iter_mut();
        let mut buffers: [_; BATCH_SIZE] = array::from_fn(|_| {
            let buffer = buffers.next().expect("there is a buffer for each");
            [IoSliceMut::new(buffer)]
        });
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut self.received,
            buffers.iter_mut(),
            MsgFlags::MSG_WAITFORONE,
            None,
        )?;
        if is_stopped() {
            return Ok(());
        }
        for (index, (datagram, out)) in received.zip(&mut self.answers).enumerate() {
            let Some(client) = datagram.address else {
                continue;
            };
            let source = match self.is_wildcard {
                true => {
                    let mut control_messages = datagram.cmsgs().into_iter().flatten();
                    let source = control_messages.find_map(F::source);
                    is_source_lost |= source.is_none();
                    source
                }
                false => None,
            };
            // No answer is better than one from another address, which the client would not accept.
            if self.is_wildcard && source.is_none() {
                continue;
            }
            let bytes = datagram.iovs().next().unwrap_or_default();
            let destination = Destination { client, source };
            if answer(bytes, &destination, out) && out.len() <= UDP_SIZE_MAX.into() {
                self.replies.push(Reply {
                    answer: index,
                    destination,
                });
            }
        }
        // The headers keep the control size of the last message: if it was too small, the control
        // data of later messages would not fit either.
        if is_source_lost {
            self.received = headers::<F>(self.is_wildcard);
        }
        Ok(())
    }

    /// Sends the answers, and drops those that cannot be sent. Calls `failed` for each of these.
    pub(super) fn send(&mut self, socket: &UdpSocket, mut failed: impl FnMut(Errno)) {
        let mut answers = self.answers.iter();
        let answers: [_; BATCH_SIZE] = array::from_fn(|_| {
            let answer = answers.next().expect("there is an answer for each");
            [IoSlice::new(answer)]
        });
        while let Some(source) = self.replies.first().map(|reply| reply.destination.source) {
            self.group.clear();
            self.clients.clear();
            self.replies.retain(|reply| {
                let has_this_source = reply.destination.source == source;
                if has_this_source {
                    self.group.push(reply.answer);
                    self.clients.push(Some(reply.destination.client));
                }
                !has_this_source
            });
            let control = source.as_ref().map(F::control);
            let mut done = 0;
            while done < self.group.len() {
                let sent = sendmmsg(
                    socket.as_raw_fd(),
                    &mut self.sent,
                    self.group[done..].iter().map(|index| &answers[*index]),
                    &self.clients[done..],
                    control.as_slice(),
                    // If the queue is full, drop answers. Waiting would let clients with
                    // unreachable addresses block the answers to all others.
                    MsgFlags::MSG_DONTWAIT,
                );
                match sent {
                    Ok(sent) => done += sent.count(),
                    Err(Errno::EINTR) => {}
                    // The first cannot be sent, but the others may be.
                    Err(error) => {
                        failed(error);
                        done += 1;
                    }
                }
            }
        }
    }
}

fn headers<F: AddressFamily>(is_wildcard: bool) -> MultiHeaders<F::Client> {
    MultiHeaders::preallocate(BATCH_SIZE, is_wildcard.then(F::control_buffer))
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
