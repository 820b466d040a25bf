//! Per-CPU packet counters kept by the XDP programs.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal),+ $(,)?) => {
        /// Index into the per-CPU counter array. The discriminants are part of
        /// the kernel/user interface: append, never reorder.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Counter { $($(#[doc = $doc])+ $variant),+ }

        impl Counter {
            /// Every counter, in index order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// How many counters there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Name in metrics and totals.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What is counted, in one line.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+)),+ }
            }
        }
    };
}

counters! {
    /// Frames seen by the program.
    Packets = "packets",
    /// Frames that are neither IPv4 nor IPv6, or whose headers end early.
    NotIp = "not_ip",
    /// IP packets that are not SIP.
    NotSip = "not_sip",
    /// INVITE requests in one datagram or opening a TCP segment.
    Invites = "invites",
    /// CANCEL, BYE, ACK and responses from 180 on.
    Dialogs = "dialogs",
    /// Other SIP: REGISTER, OPTIONS, 100 Trying and the like.
    OtherSip = "other_sip",
    /// TCP segments of SIP flows handed to user space.
    Segments = "segments",
    /// IP fragments handed to user space.
    Fragments = "fragments",
    /// Frames from which a tunnel or mirror header was taken off.
    Decapsulated = "decapsulated",
    /// INVITEs passed without a record since the ring was full.
    InviteRingFull = "invite_ring_full",
    /// Dialog messages, segments and fragments passed without a record since the ring was full.
    DialogRingFull = "dialog_ring_full",
    /// Frames passed without a record since they exceed the largest record.
    Oversize = "oversize",
    /// Frames whose bytes could not be copied (bpf_xdp_load_bytes failed).
    CopyFailed = "copy_failed",
    /// INVITEs that matched an allow rule of the gate.
    GateAllowed = "gate_allowed",
    /// INVITEs that matched a deny rule of the gate.
    GateDenied = "gate_denied",
    /// INVITEs over their source's rate.
    GateLimited = "gate_limited",
    /// INVITEs dropped because a gate rule said so.
    GateDropped = "gate_dropped",
    /// Inline: INVITEs handed to user space before they go on.
    Steered = "steered",
    /// Inline: CANCELs and ACKs handed to user space behind their INVITE.
    Followed = "followed",
    /// Inline: INVITEs passed on unscored since user space has not said in time that it is alive.
    SteerLate = "steer_late",
    /// Inline: INVITEs passed on unscored since user space has too many to take, or no socket.
    SteerBusy = "steer_busy",
    /// Inline: INVITEs passed on and scored from a copy: over TCP, in a tunnel, larger than a socket's frame, or without Call-ID.
    SteerUnfit = "steer_unfit",
}
