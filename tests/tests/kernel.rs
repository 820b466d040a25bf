//! The XDP program in the kernel's own test harness (BPF_PROG_TEST_RUN): every
//! kind of frame, the verifier's budget, and the fingerprint against user space.

mod harness;
use harness::Kernel;

#[test]
fn loads_within_budget() {
    let Some(k) = Kernel::new() else { return };
    println!("verified {}", k.verified());
    let f = harness::udp4(harness::INVITE, 5060);
    let (_, t) = k.time(&f, 20000);
    println!("invite {t:?} len {}", f.len());
    let f = harness::udp4(&[0x80; 172], 20000);
    let (_, t) = k.time(&f, 20000);
    println!("rtp {t:?}");
}
