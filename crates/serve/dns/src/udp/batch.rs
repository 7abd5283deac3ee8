//! Datagrams that are received, answered and sent together.

use std::{
    array,
    io::{IoSlice, IoSliceMut},
    net::{IpAddr, UdpSocket},
    os::fd::AsRawFd,
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg},
};

use super::Family;
use crate::{QUERY_SIZE_MAX, UDP_SIZE_MAX};

/// How many datagrams are taken at most at once: enough that the calls cost little for each, few
/// enough that the first does not wait for long.
pub(super) const BATCH_SIZE: usize = 32;

/// The buffers of a thread, allocated once.
pub(super) struct Batch<F: Family> {
    datagrams: Vec<[u8; QUERY_SIZE_MAX]>,
    answers: Vec<Vec<u8>>,
    received: MultiHeaders<F::Client>,
    sent: MultiHeaders<F::Client>,
    /// Whether the socket takes datagrams to several addresses of ours.
    is_wildcard: bool,
    replies: Vec<Reply<F>>,
    /// The replies that leave from one address: their answers, and where those go.
    group: Vec<usize>,
    clients: Vec<Option<F::Client>>,
}

/// An answer that was not sent yet.
struct Reply<F: Family> {
    answer: usize,
    client: F::Client,
    /// From where, if that is not the one address of the socket.
    source: Option<F::Source>,
}

impl<F: Family> Batch<F> {
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

    /// Waits for datagrams, takes those that are there, and has each answered: `answer` gets the
    /// datagram and who sent it, and says whether it wrote an answer. `is_stopped` is asked after
    /// the wait, since what ends it for a stop is no datagram.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        is_stopped: impl Fn() -> bool,
        mut answer: impl FnMut(&[u8], IpAddr, &mut Vec<u8>) -> bool,
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
                    let mut told = datagram.cmsgs().into_iter().flatten();
                    let source = told.find_map(F::source);
                    is_source_lost |= source.is_none();
                    source
                }
                false => None,
            };
            // Rather none than one from another address, which the client would not take.
            if self.is_wildcard && source.is_none() {
                continue;
            }
            let bytes = datagram.iovs().next().unwrap_or_default();
            if answer(bytes, F::ip(&client), out) && out.len() <= UDP_SIZE_MAX.into() {
                self.replies.push(Reply {
                    answer: index,
                    client,
                    source,
                });
            }
        }
        // The headers remember how much room the last message used: with less than it needs, no
        // later one would fit.
        if is_source_lost {
            self.received = headers::<F>(self.is_wildcard);
        }
        Ok(())
    }

    /// Sends the answers, and drops those that cannot be sent. `failed` is told of each.
    pub(super) fn send(&mut self, socket: &UdpSocket, mut failed: impl FnMut(Errno)) {
        let mut answers = self.answers.iter();
        let answers: [_; BATCH_SIZE] = array::from_fn(|_| {
            let answer = answers.next().expect("there is an answer for each");
            [IoSlice::new(answer)]
        });
        while let Some(source) = self.replies.first().map(|reply| reply.source) {
            self.group.clear();
            self.clients.clear();
            self.replies.retain(|reply| {
                let leaves_from_there = reply.source == source;
                if leaves_from_there {
                    self.group.push(reply.answer);
                    self.clients.push(Some(reply.client));
                }
                !leaves_from_there
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
                    // A full queue drops answers. Waiting for it would let strangers whose
                    // addresses nobody has stop all others' answers.
                    MsgFlags::MSG_DONTWAIT,
                );
                match sent {
                    Ok(sent) => done += sent.count(),
                    Err(Errno::EINTR) => {}
                    // The first cannot be sent; the others perhaps can.
                    Err(error) => {
                        failed(error);
                        done += 1;
                    }
                }
            }
        }
    }
}

fn headers<F: Family>(is_wildcard: bool) -> MultiHeaders<F::Client> {
    MultiHeaders::preallocate(BATCH_SIZE, is_wildcard.then(F::control_buffer))
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
