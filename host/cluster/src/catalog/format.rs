//! How a type's facts are written: JSON, which old and new versions of the
//! program can both read, behind a format number and a checksum.
//!
//! ```text
//! byte 0      the format, 1
//! bytes 1-4   CRC-32C of the name, a zero byte and the JSON, little endian
//! bytes 5-    the JSON
//! ```

use serde::{Deserialize, Serialize};
use stead_model::{ComponentHash, Manifest, TimestampMs, TypeVersion};

use super::store::{TypeFacts, VersionFacts};

const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TypeRow {
    current: Option<TypeVersion>,
    last: TypeVersion,
    versions: Vec<VersionRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct VersionRow {
    version: TypeVersion,
    component: ComponentHash,
    component_bytes: u64,
    deployed_at: TimestampMs,
    manifest: Manifest,
}

/// A type's facts as they are stored.
pub fn encode(name: &str, facts: &TypeFacts) -> Vec<u8> {
    let row = TypeRow {
        current: facts.current,
        last: facts.last,
        versions: facts
            .versions
            .iter()
            .map(|version| VersionRow {
                version: version.version,
                component: version.component,
                component_bytes: version.component_bytes,
                deployed_at: version.deployed_at,
                manifest: version.manifest.clone(),
            })
            .collect(),
    };
    let json = serde_json::to_vec(&row).expect("rows have text keys and finite numbers");
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(&checksum(name, &json).to_le_bytes());
    bytes.extend_from_slice(&json);
    bytes
}

/// Reads what [`encode`] wrote.
pub fn decode(name: &str, bytes: &[u8]) -> Result<TypeFacts, String> {
    let (head, json) = bytes.split_at_checked(5).ok_or("it is cut short")?;
    let (&format, sum) = head.split_first().ok_or("it is cut short")?;
    if format != FORMAT {
        return Err(format!("it has format {format}, and this version reads format {FORMAT}"));
    }
    if sum != checksum(name, json).to_le_bytes() {
        return Err("its checksum does not fit".into());
    }
    let row: TypeRow = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    Ok(TypeFacts {
        current: row.current,
        last: row.last,
        versions: row
            .versions
            .into_iter()
            .map(|version| VersionFacts {
                version: version.version,
                component: version.component,
                component_bytes: version.component_bytes,
                deployed_at: version.deployed_at,
                manifest: version.manifest,
            })
            .collect(),
    })
}

fn checksum(name: &str, json: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(name.as_bytes()), &[0]), json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> TypeFacts {
        let manifest = serde_json::from_str(
            r#"{"type":"cart","retention":{"events-behind-snapshot":10},
                "route":[{"method":"POST","path":"/carts/{id}/items","command":"add-item"}]}"#,
        )
        .expect("a manifest");
        let version = VersionFacts {
            version: TypeVersion(3),
            component: ComponentHash([7; 32]),
            component_bytes: 43_000,
            deployed_at: TimestampMs(1_700_000_000_000),
            manifest,
        };
        TypeFacts { current: Some(TypeVersion(3)), last: TypeVersion(4), versions: vec![version] }
    }

    /// What this version wrote, later versions read.
    #[test]
    fn facts_of_format_1_are_read() {
        let golden = include_bytes!("golden/type-facts-1.bin");
        assert_eq!(decode("cart", golden), Ok(facts()));
    }

    #[test]
    fn facts_are_read_as_written_and_any_flip_is_found() {
        let bytes = encode("cart", &facts());
        assert_eq!(decode("cart", &bytes), Ok(facts()));
        assert!(decode("card", &bytes).is_err(), "the name is part of the checksum");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode("cart", &flipped).is_err(), "bit {bit}");
        }
        for size in 0..bytes.len() {
            assert!(decode("cart", &bytes[..size]).is_err(), "cut to {size}");
        }
    }

    #[test]
    #[ignore = "writes the golden file of a new format"]
    fn write_the_golden_file() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalog/golden/type-facts-1.bin");
        std::fs::write(path, encode("cart", &facts())).expect("written");
    }
}
