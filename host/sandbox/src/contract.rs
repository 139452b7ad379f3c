//! Names and versions: what a component must export, and what it may import.

/// The package of the contract.
const PACKAGE: &str = "stead:entity";
/// The version of it that this host serves.
const VERSION: &str = "0.1.0";
/// Both, for people.
pub(crate) const SERVED: &str = "stead:entity@0.1.0";
/// The interfaces of it that a component may import.
const IMPORTS: [&str; 2] = ["host", "types"];
/// The one that it must export.
const EXPORT: &str = "guest";
/// The interfaces of WASI 0.2 that are linked; see [`crate::wasi`].
const WASI: [&str; 27] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];
/// The one whose presence tells how hash maps are seeded.
pub(crate) const INSECURE_SEED: &str = "wasi:random/insecure-seed";

/// The name of an import or export: `package/interface@version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name<'a> {
    package: &'a str,
    interface: &'a str,
    version: &'a str,
}

impl<'a> Name<'a> {
    fn parse(name: &'a str) -> Self {
        let (path, version) = name.split_once('@').unwrap_or((name, ""));
        let (package, interface) = path.split_once('/').unwrap_or((path, ""));
        Self { package, interface, version }
    }

    fn is_ours(&self) -> bool {
        self.package == PACKAGE
    }
}

/// How an export or import stands to the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is as this host serves it.
    Served,
    /// It is the contract's, of another version.
    OtherVersion,
    /// It is something else.
    Foreign,
}

/// How an export stands to the contract: served if it is the one that counts.
pub(crate) fn export_standing(name: &str) -> Standing {
    let name = Name::parse(name);
    match (name.is_ours(), name.interface == EXPORT, name.version == VERSION) {
        (true, true, true) => Standing::Served,
        (true, _, false) => Standing::OtherVersion,
        (true, false, true) | (false, _, _) => Standing::Foreign,
    }
}

/// How an import stands to what is linked.
pub(crate) fn import_standing(name: &str) -> Standing {
    let parsed = Name::parse(name);
    if parsed.is_ours() {
        return match (parsed.version == VERSION, IMPORTS.contains(&parsed.interface)) {
            (false, _) => Standing::OtherVersion,
            (true, true) => Standing::Served,
            (true, false) => Standing::Foreign,
        };
    }
    let path = name.split_once('@').map_or(name, |(path, _)| path);
    if WASI.contains(&path) && is_wasi_0_2(parsed.version) {
        Standing::Served
    } else {
        Standing::Foreign
    }
}

/// Whether a version is of the 0.2 line, all of which are compatible.
fn is_wasi_0_2(version: &str) -> bool {
    version.strip_prefix("0.2.").is_some_and(|patch| patch.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let exports = [
            ("stead:entity/guest@0.1.0", Standing::Served),
            ("stead:entity/guest@0.2.0", Standing::OtherVersion),
            ("stead:entity/guest", Standing::OtherVersion),
            ("stead:entity/other@0.1.0", Standing::Foreign),
            ("wasi:cli/run@0.2.0", Standing::Foreign),
            ("guest", Standing::Foreign),
            ("", Standing::Foreign),
        ];
        for (name, standing) in exports {
            assert_eq!(export_standing(name), standing, "{name}");
        }
        let imports = [
            ("stead:entity/host@0.1.0", Standing::Served),
            ("stead:entity/types@0.1.0", Standing::Served),
            ("stead:entity/host@0.3.0", Standing::OtherVersion),
            ("stead:entity/disk@0.1.0", Standing::Foreign),
            ("wasi:cli/stdout@0.2.12", Standing::Served),
            ("wasi:sockets/udp-create-socket@0.2.0", Standing::Served),
            ("wasi:cli/stdout@0.3.0", Standing::Foreign),
            ("wasi:http/outgoing-handler@0.2.0", Standing::Foreign),
            ("wasi:cli/stdout", Standing::Foreign),
        ];
        for (name, standing) in imports {
            assert_eq!(import_standing(name), standing, "{name}");
        }
    }
}
