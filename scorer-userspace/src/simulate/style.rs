//! Header styles of real stacks: a TOML file each, in `stacks/`.

use serde::Deserialize;

use super::template::Template;

/// How a sender numbers its IPv4 packets.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum IpId {
    /// One after the other.
    #[default]
    Count,
    /// Zero, with the don't-fragment bit, as Linux may.
    Zero,
}

/// Which port it sends from.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum PortKind {
    #[default]
    Sip,
    Ephemeral,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    source: String,
    agents: Vec<String>,
    branch: String,
    tag: String,
    call_id: String,
    cseq: String,
    ttl: u8,
    #[serde(default)]
    dscp: u8,
    #[serde(default)]
    ip_id: IpId,
    #[serde(default)]
    port: PortKind,
    invite: String,
    sdp: Vec<String>,
}

/// One style, compiled.
#[derive(Debug)]
pub(super) struct Style {
    pub(super) name: &'static str,
    /// User-Agent values of its versions, oldest first; an empty one is none at all.
    pub(super) agents: Vec<String>,
    pub(super) branch: Template,
    pub(super) tag: Template,
    pub(super) call_id: Template,
    pub(super) cseq: Template,
    pub(super) ttl: u8,
    pub(super) dscp: u8,
    pub(super) ip_id: IpId,
    pub(super) port: PortKind,
    pub(super) invite: Template,
    pub(super) sdp: Vec<Template>,
}

macro_rules! stacks {
    ($($name:literal,)+) => {
        /// Names and texts of all styles.
        const STACKS: &[(&str, &str)] = &[$(($name, include_str!(concat!("stacks/", $name, ".toml"))),)+];
    };
}

stacks! {
    "asterisk", "asterisk-chan-sip", "freeswitch", "cisco", "ribbon", "oracle", "audiocodes",
    "metaswitch", "huawei", "ericsson", "nokia", "yeastar", "threecx", "twilio", "teams",
    "pjsip", "linphone", "zoiper", "avaya", "grandstream", "fax", "friendly-scanner", "sipp",
}

/// Names of all styles.
pub fn names() -> impl Iterator<Item = &'static str> {
    STACKS.iter().map(|(name, _)| *name)
}

/// Place of a style in the list.
pub(super) fn index(name: &str) -> Option<usize> {
    STACKS.iter().position(|(known, _)| *known == name)
}

/// All of them.
///
/// # Errors
/// A text that says which file is wrong, and why.
pub(super) fn load() -> Result<Vec<Style>, String> {
    STACKS
        .iter()
        .map(|(name, text)| style(name, text).map_err(|why| format!("stacks/{name}.toml: {why}")))
        .collect()
}

fn style(name: &'static str, text: &str) -> Result<Style, String> {
    let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
    if written.source.is_empty() || written.sdp.is_empty() {
        return Err("a style names its source and at least one offer".into());
    }
    let lines = |text: &String| Template::lines(text);
    Ok(Style {
        name,
        agents: written.agents,
        branch: Template::value(&written.branch)?,
        tag: Template::value(&written.tag)?,
        call_id: Template::value(&written.call_id)?,
        cseq: Template::value(&written.cseq)?,
        ttl: written.ttl,
        dscp: written.dscp,
        ip_id: written.ip_id,
        port: written.port,
        invite: lines(&written.invite)?,
        sdp: written.sdp.iter().map(lines).collect::<Result<_, _>>()?,
    })
}
