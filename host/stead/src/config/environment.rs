//! Reading `STEAD_…` variables.

use super::{
    nearest::nearest,
    settings::{self, SECTIONS, Settings},
    source::Source,
};

/// Takes every setting that a variable names. Returns what looks like a
/// setting and is none, as warnings: an environment has things in it that
/// nobody put there on purpose, Kubernetes' service variables among them.
pub fn apply(
    settings: &mut Settings,
    variables: &[(String, String)],
    wrong: &mut Vec<String>,
) -> Vec<String> {
    let value_of =
        |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let mut known = vec!["STEAD_CONFIG".to_owned()];
    for entry in settings::entries() {
        let names = [entry.environment_alias.map(str::to_owned), Some(entry.environment())];
        for name in names.into_iter().flatten() {
            if let Some(value) = value_of(&name)
                && let Err(reason) = settings.set(entry, value, Source::Environment(name.clone()))
            {
                wrong.push(format!("{name}: {reason}"));
            }
            known.push(name);
        }
    }
    let strange = variables.iter().map(|(name, _)| name.as_str()).filter(|name| {
        SECTIONS.iter().any(|(section, _, _)| {
            let prefix = format!("STEAD_{}_", section.to_ascii_uppercase());
            name.strip_prefix(&prefix)
                .is_some_and(|key| !key.starts_with("PORT") && !key.starts_with("SERVICE_"))
        }) && !known.iter().any(|known| known == name)
    });
    strange
        .map(|name| match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("{name} is no setting and was ignored; the nearest is {near}"),
            None => format!("{name} is no setting and was ignored"),
        })
        .collect()
}
