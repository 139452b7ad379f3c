//! Which known name someone may have meant.

use super::{entry::Entry, settings};

/// The known name closest to one that isn't known, if any is close.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// What to say after "there is no such setting".
pub fn suggest(section: &str, key: &str) -> String {
    let siblings: Vec<String> =
        settings::entries().filter(|e| e.section == section).map(Entry::key).collect();
    if siblings.iter().any(|sibling| sibling == &key.replace('_', "-")) {
        return format!("write it with hyphens: {}", key.replace('_', "-"));
    }
    if let Some(name) = nearest(key, siblings.iter().map(String::as_str)) {
        return format!("the nearest is {name}");
    }
    let all: Vec<(String, String)> = settings::entries().map(|e| (e.key(), e.name())).collect();
    match nearest(key, all.iter().map(|(key, _)| key.as_str())) {
        Some(near) => {
            let named = all.iter().find(|(key, _)| key == near);
            format!("the nearest is {}", named.map_or(near, |(_, name)| name))
        }
        None => format!("[{section}] has {}", siblings.join(", ")),
    }
}
