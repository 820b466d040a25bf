//! The files of an operator who would see the simulated traffic: configuration with
//! trunks, number tables, lists, trust anchors and certificates.

use std::{fmt::Write as _, fs, path::Path};

use super::{Mix, SimulateError, calls::Calls, passport, world::TRUNKS};

/// Writes them to `folder`: `scorer.toml` names the others.
///
/// # Errors
/// When the mix cannot be, or the files cannot be written.
pub fn write(folder: &Path, mix: &Mix, seed: u64) -> Result<(), SimulateError> {
    let calls = Calls::new(mix.clone(), seed, 1)?;
    fs::create_dir_all(folder).map_err(SimulateError::Site)?;
    let folder = folder.canonicalize().map_err(SimulateError::Site)?;
    passport::write_certificates(&folder, seed, calls.start)?;
    let place = |name: &str| format!("{:?}", folder.join(name).display().to_string());
    let trunks: Vec<_> = TRUNKS.iter().filter_map(super::world::Trunk::configured).collect();
    let toml = format!(
        "# What the simulated operator would have configured (scorer simulate --site).\n\
         [numbers]\nhome_country = 44\ntables = [{}]\n\n[sources]\ntrunks = {trunks:#?}\n\n\
         [stir]\nanchors = {}\nfolder = {}\nkeep_hours = 720\n",
        place("numbers.csv"),
        place("anchors.pem"),
        place("certificates")
    );
    let mut numbers = include_str!("../number/data/ranges.csv").to_owned();
    let world = &calls.world.numbers;
    // An operator's table knows some of the banks only.
    numbers.push_str("\n# Of the simulated world.\n");
    for (i, number) in world.protected.iter().enumerate() {
        // Writing to a String cannot fail.
        match i % 5 {
            0 | 1 => {
                let _ = writeln!(numbers, "{number},protected,a bank");
            }
            2 => {
                let _ = writeln!(numbers, "{number},do_not_originate,only called");
            }
            _ => {}
        }
    }
    let write = |name: &str, text: &str| fs::write(folder.join(name), text);
    write("scorer.toml", &toml).map_err(SimulateError::Site)?;
    write("numbers.csv", &numbers).map_err(SimulateError::Site)
}
