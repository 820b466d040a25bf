//! One AF_XDP socket: a receive queue's INVITEs come in, frames go out.

use std::{
    io,
    os::fd::{BorrowedFd, RawFd},
};

use scorer_common::steer::{HEADROOM, Meta};
use xdp::{
    Packet, RingConfigBuilder, Umem, WakableRings,
    nic::NicIndex,
    slab::{HeapSlab, Slab as _},
    socket::{XdpSocket, XdpSocketBuilder},
    umem::{FrameSize, UmemCfgBuilder},
};

/// Frames of memory: half are the kernel's to fill, half are ours to send.
const FRAMES: u32 = 4_096;
/// Entries in each ring. Twice the kernel's bound on what waits.
const RING: u32 = 2_048;
const _: () = assert!(RING as u64 == 2 * scorer_common::steer::BACKLOG);
/// Frames taken at a time.
const BATCH: usize = 64;
/// Frames that the kernel sends for one call at most (`TX_BATCH_SIZE`).
const SENT_AT_ONCE: usize = 32;

/// A socket with its rings and its memory. Fields are dropped in this order: the
/// socket before the memory that it uses.
pub(super) struct Port {
    queue: u32,
    rings: WakableRings,
    socket: XdpSocket,
    received: HeapSlab,
    sending: HeapSlab,
    /// Frames taken that the kernel must be given memory for.
    owed: usize,
    /// Frames in the send ring that the kernel was not yet told of, or did not take.
    unsent: usize,
    zero_copy: bool,
    /// Frames that found no memory, or no room in the send ring.
    pub(super) lost: u64,
    umem: Umem,
}

// SAFETY: the pointers that packets and rings hold are into maps that this port owns
// alone; one thread uses it at a time.
unsafe impl Send for Port {}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("queue", &self.queue).finish_non_exhaustive()
    }
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

impl Port {
    /// Binds a socket to a queue. One that only sends takes no packets.
    pub(super) fn open(
        ifindex: u32,
        queue: u32,
        receives: bool,
        zero_copy: bool,
    ) -> io::Result<Self> {
        let memory = UmemCfgBuilder {
            frame_size: FrameSize::FourK,
            head_room: HEADROOM,
            frame_count: FRAMES,
            ..UmemCfgBuilder::default()
        };
        let mut umem = Umem::map(memory.build().map_err(other)?)?;
        let rings = RingConfigBuilder {
            rx_count: if receives { RING } else { 0 },
            tx_count: RING,
            fill_count: RING,
            completion_count: RING,
        };
        let mut builder = XdpSocketBuilder::new().map_err(cause)?;
        let (mut rings, mut flags) =
            builder.build_wakable_rings(&umem, rings.build().map_err(other)?).map_err(cause)?;
        if zero_copy {
            flags.force_zerocopy();
        } else {
            flags.force_copy();
        }
        if receives {
            // SAFETY: the memory is dropped after the socket, see the order of fields.
            unsafe { rings.fill_ring.enqueue(&mut umem, RING as usize, false) }?;
        }
        let socket = builder.bind(NicIndex::new(ifindex), queue, flags).map_err(cause)?;
        Ok(Self {
            queue,
            rings,
            socket,
            received: HeapSlab::with_capacity(BATCH),
            sending: HeapSlab::with_capacity(BATCH),
            owed: 0,
            unsent: 0,
            zero_copy,
            lost: 0,
            umem,
        })
    }

    pub(super) fn queue(&self) -> u32 {
        self.queue
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.socket.raw_fd()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open for as long as the port is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.socket.raw_fd()) }
    }

    /// Takes what has come in, a batch at most; how many frames wait in
    /// [`Self::next`].
    pub(super) fn receive(&mut self) -> usize {
        let Some(ring) = &mut self.rings.rx_ring else { return 0 };
        // SAFETY: what is received is given back before the memory goes.
        unsafe { ring.recv(&self.umem, &mut self.received) }
    }

    /// The next frame received, in the order they came. To be given back with
    /// [`Self::release`].
    pub(super) fn next(&mut self) -> Option<Packet> {
        self.received.pop_back()
    }

    /// Gives a frame's memory back.
    pub(super) fn release(&mut self, packet: Packet) {
        self.umem.free_packet(packet);
        self.owed += 1;
    }

    /// Gives the kernel memory for as many frames as were taken.
    pub(super) fn refill(&mut self) {
        if self.owed == 0 {
            return;
        }
        // SAFETY: the memory is dropped after the socket.
        let filled =
            unsafe { self.rings.fill_ring.enqueue(&mut self.umem, self.owed, self.zero_copy) };
        // An error is that of waking the kernel up, which has the memory then.
        self.owed -= filled.unwrap_or(self.owed);
    }

    /// Queues a frame, given in two pieces, to be sent; false when there is no room: it
    /// is lost then, unless the caller knows better.
    pub(super) fn send(&mut self, pieces: [&[u8]; 2]) -> bool {
        if self.unsent >= RING as usize - BATCH {
            self.complete();
        }
        // SAFETY: the packet goes to the ring, or is given back, before the memory goes.
        let Some(mut packet) = (unsafe { self.umem.alloc() }) else {
            self.lost += 1;
            return false;
        };
        if pieces.iter().any(|piece| packet.append(piece).is_err()) {
            self.umem.free_packet(packet);
            self.lost += 1;
            return false;
        }
        if let Some(packet) = self.sending.push_front(packet) {
            self.umem.free_packet(packet);
            self.lost += 1;
            return false;
        }
        self.submit();
        true
    }

    /// Puts what is queued into the send ring.
    fn submit(&mut self) {
        let Some(ring) = &mut self.rings.tx_ring else { return };
        // SAFETY: the memory is dropped after the socket. Nothing is woken up, so
        // nothing fails.
        let queued = unsafe { ring.send(&mut self.sending, false) }.unwrap_or(0);
        self.unsent += queued;
    }

    /// Takes back memory of frames that were sent.
    fn complete(&mut self) {
        while self.rings.completion_ring.dequeue(&mut self.umem, BATCH) == BATCH {}
    }

    /// Has the kernel send what is in the ring. What it cannot send now (a full
    /// device queue, an interface that is down) stays there until the next call.
    pub(super) fn flush(&mut self) {
        if self.unsent == 0 {
            return;
        }
        self.submit();
        while self.unsent > 0 {
            // SAFETY: no memory is handed over.
            let result = unsafe {
                libc::sendto(
                    self.raw_fd(),
                    std::ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null(),
                    0,
                )
            };
            if result == 0 {
                self.unsent = 0;
                break;
            }
            match io::Error::last_os_error().raw_os_error() {
                // A batch went, and there is more.
                Some(libc::EAGAIN) if self.unsent > SENT_AT_ONCE => self.unsent -= SENT_AT_ONCE,
                _ => break,
            }
        }
        self.complete();
    }
}

fn cause(error: xdp::socket::SocketError) -> io::Error {
    use std::error::Error as _;
    let code = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error);
    code.map_or_else(|| other(error), io::Error::from_raw_os_error)
}

/// The kernel's stamp before a frame, which is taken out so that it is not read
/// twice; `None` where the driver carried none.
pub(super) fn take_stamp(packet: &mut Packet) -> Option<u64> {
    const SIZE: i32 = size_of::<Meta>() as i32;
    packet.adjust_head(-SIZE).ok()?;
    let words = packet.first_chunk::<16>().copied();
    if let Some(head) = packet.get_mut(..8) {
        head.fill(0);
    }
    packet.adjust_head(SIZE).ok()?;
    let words = words?;
    let word = |at: usize| words[at..].first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
    (word(0)? == Meta::MAGIC).then(|| word(8)).flatten()
}
