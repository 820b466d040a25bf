//! The BPF object, as built by `cargo xtask build-ebpf` and committed beside
//! this file, so that nobody needs an LLVM to install the scorer.

use aya::{Ebpf, EbpfLoader, maps::Array};
use scorer_common::{gate::Settings, limits::PortBitmap, maps};

use super::TapError;

/// ELF file with the programs and maps.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!("scorer.bpf.o");

/// Loads the object with rings of the given sizes and the given SIP ports.
///
/// # Errors
/// [`TapError::Load`] when the kernel refuses a map, [`TapError::Map`] when the
/// object is not the one this loader was written for.
pub fn load(
    sip_ports: &[u16],
    invite_ring_bytes: u32,
    dialog_ring_bytes: u32,
) -> Result<Ebpf, TapError> {
    load_bytes(OBJECT, sip_ports, invite_ring_bytes, dialog_ring_bytes)
}

/// The same of another object, such as a debug build.
///
/// # Errors
/// As [`load`].
pub fn load_bytes(
    object: &[u8],
    sip_ports: &[u16],
    invite_ring_bytes: u32,
    dialog_ring_bytes: u32,
) -> Result<Ebpf, TapError> {
    let mut ebpf = EbpfLoader::new()
        .map_max_entries(maps::RING_INVITES, ring_size(invite_ring_bytes))
        .map_max_entries(maps::RING_DIALOGS, ring_size(dialog_ring_bytes))
        .load(object)
        .map_err(|source| TapError::Load { source: Box::new(source) })?;
    let mut bitmap: PortBitmap = [0; 1024];
    for port in sip_ports {
        bitmap[usize::from(port / 64)] |= 1 << (port % 64);
    }
    set(&mut ebpf, maps::PORTS, bitmap)?;
    let settings = Settings { gate: 0, reserved: 0, bucket_interval: 0, bucket_burst: 0 };
    set(&mut ebpf, maps::SETTINGS, settings)?;
    Ok(ebpf)
}

/// Sets the one element of an array map.
///
/// # Errors
/// [`TapError::Map`] when there is no such map or it has another value size.
pub fn set<V: aya::Pod>(ebpf: &mut Ebpf, name: &'static str, value: V) -> Result<(), TapError> {
    let map = ebpf.map_mut(name).ok_or_else(|| {
        TapError::map(name, aya::maps::MapError::InvalidName { name: name.to_owned() })
    })?;
    let mut array = Array::<_, V>::try_from(map).map_err(|source| TapError::map(name, source))?;
    array.set(0, value, 0).map_err(|source| TapError::map(name, source))
}

/// Ring sizes are powers of two and whole pages.
fn ring_size(bytes: u32) -> u32 {
    bytes.clamp(64 << 10, 1 << 30).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::ring_size;

    #[test]
    fn ring_sizes() {
        assert_eq!(ring_size(0), 65_536);
        assert_eq!(ring_size(65_537), 131_072);
        assert_eq!(ring_size(16 << 20), 16 << 20);
        assert_eq!(ring_size(u32::MAX), 1 << 30);
    }
}
