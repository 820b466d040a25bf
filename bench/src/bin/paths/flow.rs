//! INVITEs sent at a rate, and when they came.

use std::{
    net::UdpSocket,
    os::fd::AsRawFd as _,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::socket::{
        ControlMessageOwned, MsgFlags, recvmsg, setsockopt,
        sockopt::{RcvBufForce, ReceiveTimestampns},
    },
    time::{ClockId, clock_gettime, clock_nanosleep},
};
use scorer_tests::bump::{Bump, CARRIER, CORE};

/// Quantiles, ns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
}

impl Latency {
    pub(crate) fn of(mut values: Vec<u64>) -> Result<Self> {
        ensure!(!values.is_empty(), "nothing was measured");
        values.sort_unstable();
        let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
        Ok(Self { p50: at(0.5), p99: at(0.99), p999: at(0.999) })
    }
}

fn now() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_REALTIME)?;
    Ok(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// Text of the `i`th message; its Call-ID starts with `p` and the number.
pub(crate) fn text(i: u32) -> String {
    let text = scorer_bench::invite(i * 6);
    let at = text.find("Call-ID: ").expect("a Call-ID") + 9;
    format!("{}p{i}-{}", &text[..at], &text[at..])
}

/// Sends `count` messages from the carrier to `CORE:to` and takes what comes to
/// `CORE:at`: the time from before the sending to the kernel's stamp at arrival.
pub(crate) fn latency(lab: &Bump, to: u16, at: u16, count: u32, rate: u32) -> Result<Latency> {
    let receiver = lab.inside_core(|| UdpSocket::bind((CORE, at)))?;
    setsockopt(&receiver, RcvBufForce, &(64 << 20))?;
    setsockopt(&receiver, ReceiveTimestampns, &true)?;
    receiver.set_read_timeout(Some(Duration::from_millis(300)))?;
    let sender = lab.inside_carrier(|| UdpSocket::bind((CARRIER, 5060)))?;
    sender.connect((CORE, to))?;
    // Neighbours and caches are warm before it counts.
    for i in 0..200 {
        sender.send(text(1_000_000 + i).as_bytes())?;
        std::thread::sleep(Duration::from_millis(2));
    }
    let done = AtomicBool::new(false);
    let (sent, came) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| arrivals(&receiver, count, &done));
        let sent = send(&sender, count, rate);
        std::thread::sleep(Duration::from_millis(500));
        done.store(true, Ordering::Release);
        (sent, reader.join().expect("the reader ends"))
    });
    let (sent, came) = (sent?, came?);
    let missing = came.iter().filter(|stamp| **stamp == 0).count();
    ensure!(missing == 0, "{missing} of {count} did not come");
    Latency::of(came.iter().zip(&sent).map(|(came, sent)| came.saturating_sub(*sent)).collect())
}

fn send(sender: &UdpSocket, count: u32, rate: u32) -> Result<Vec<u64>> {
    let texts: Vec<_> = (0..count).map(text).collect();
    let mut sent = Vec::with_capacity(texts.len());
    for text in &texts {
        // Not in step with anything: between half and one and a half of the interval.
        let jitter = 500_000_000
            + (u64::from(sent.len() as u32).wrapping_mul(0x9e37_79b9) % 1_000) * 1_000_000;
        let pause = Duration::from_nanos(jitter / u64::from(rate));
        clock_nanosleep(
            ClockId::CLOCK_MONOTONIC,
            nix::time::ClockNanosleepFlags::empty(),
            &pause.into(),
        )
        .context("cannot sleep")?;
        sent.push(now()?);
        sender.send(text.as_bytes())?;
    }
    Ok(sent)
}

/// The kernel's stamp of each message, ns; 0 where none came.
fn arrivals(receiver: &UdpSocket, count: u32, done: &AtomicBool) -> Result<Vec<u64>> {
    let mut came = vec![0; count as usize];
    let mut buffer = vec![0; 65_536];
    while !done.load(Ordering::Acquire) {
        let mut space = nix::cmsg_space!(nix::sys::time::TimeSpec);
        let mut parts = [std::io::IoSliceMut::new(&mut buffer)];
        let result =
            recvmsg::<()>(receiver.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty());
        let message = match result {
            Ok(message) => message,
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let stamp = message.cmsgs()?.find_map(|part| match part {
            ControlMessageOwned::ScmTimestampns(time) => {
                Some(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
            }
            _ => None,
        });
        let length = message.bytes;
        let stamp = stamp.context("no stamp")?;
        let Some(i) = number(&buffer[..length]) else { continue };
        // The first of several copies counts.
        if let Some(place) = came.get_mut(i as usize)
            && *place == 0
        {
            *place = stamp;
        }
    }
    Ok(came)
}

fn number(message: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(message).ok()?;
    let rest = &text[text.find("Call-ID: p")? + 10..];
    rest[..rest.find('-')?].parse().ok()
}
