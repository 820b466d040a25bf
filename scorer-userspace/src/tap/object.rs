//! The BPF object, as built by `cargo xtask build-ebpf` and committed beside
//! this file, so that nobody needs an LLVM to install the scorer.

use aya::{Ebpf, EbpfLoader, maps::Array};
use scorer_common::{limits::PortBitmap, maps};

use super::{Pins, TapError};

/// ELF file with the programs and maps.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!("scorer.bpf.o");

/// What an object is loaded with.
#[derive(Clone, Copy, Debug)]
pub struct Loading<'a> {
    /// ELF file.
    pub object: &'a [u8],
    /// Ports that SIP is expected on.
    pub sip_ports: &'a [u16],
    /// Size of the ring for INVITEs, bytes; rounded up to a power of two.
    pub invite_ring_bytes: u32,
    /// Size of the ring for other dialog messages, bytes; likewise.
    pub dialog_ring_bytes: u32,
    /// Where maps are taken up from and kept.
    pub pins: Option<&'a Pins>,
}

impl Loading<'_> {
    /// Loads it.
    ///
    /// # Errors
    /// [`TapError::Load`] when the kernel refuses a map, [`TapError::Map`] when the
    /// object is not the one this loader was written for.
    pub fn load(&self) -> Result<Ebpf, TapError> {
        let mut loader = EbpfLoader::new();
        loader
            .map_max_entries(maps::RING_INVITES, ring_size(self.invite_ring_bytes))
            .map_max_entries(maps::RING_DIALOGS, ring_size(self.dialog_ring_bytes));
        if let Some(pins) = self.pins {
            for name in maps::ALL {
                loader.map_pin_path(name, pins.map(name));
            }
        }
        let mut ebpf = loader
            .load(self.object)
            .map_err(|source| TapError::Load { source: Box::new(source) })?;
        let mut bitmap: PortBitmap = [0; 1024];
        for port in self.sip_ports {
            bitmap[usize::from(port / 64)] |= 1 << (port % 64);
        }
        set(&mut ebpf, maps::PORTS, bitmap)?;
        Ok(ebpf)
    }
}

/// Loads the built-in object, nothing of it pinned.
///
/// # Errors
/// As [`Loading::load`].
pub fn load(
    sip_ports: &[u16],
    invite_ring_bytes: u32,
    dialog_ring_bytes: u32,
) -> Result<Ebpf, TapError> {
    Loading { object: OBJECT, sip_ports, invite_ring_bytes, dialog_ring_bytes, pins: None }.load()
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
