//! Which features a model sees: names in its metadata, looked up in the registry.

use tract_onnx::pb;

use super::error::ModelError;

/// Most features a model may have. The registry has a few hundred.
const MAX_FEATURES: usize = 4096;

/// Value of a metadata key.
pub(super) fn metadata<'m>(proto: &'m pb::ModelProto, key: &str) -> Option<&'m str> {
    proto.metadata_props.iter().find(|p| p.key == key).map(|p| p.value.as_str())
}

/// For each input column of the model, the index of its feature in `features`.
pub(super) fn columns(
    proto: &pb::ModelProto,
    features: &[&str],
    model: &str,
) -> Result<Box<[u16]>, ModelError> {
    const KEY: &str = "scorer.features";
    let wrong = |what: String| ModelError::Metadata { model: model.to_owned(), key: KEY, what };
    let names = metadata(proto, KEY).ok_or_else(|| {
        wrong(
            "is missing; write the names of the input's columns there, one a line (see \
             models/baseline.py)"
                .into(),
        )
    })?;
    let mut columns = Vec::new();
    let mut seen = vec![false; features.len()];
    for name in names.lines().map(str::trim).filter(|n| !n.is_empty()) {
        if columns.len() == MAX_FEATURES {
            return Err(wrong(format!("names more than {MAX_FEATURES} features; name fewer")));
        }
        let Some(index) = features.iter().position(|f| *f == name) else {
            // A wrong name may be of any length; comparing costs its square.
            let name: String = name.chars().take(80).collect();
            let nearest = features
                .iter()
                .map(|f| (strsim::jaro_winkler(f, &name), f))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .filter(|(likeness, _)| *likeness > 0.7)
                .map(|(_, f)| (*f).to_owned());
            return Err(ModelError::UnknownFeature {
                model: model.to_owned(),
                feature: name,
                nearest,
            });
        };
        if seen[index] {
            return Err(wrong(format!("names `{name}` twice; name each feature once")));
        }
        seen[index] = true;
        columns.push(u16::try_from(index).map_err(|_| wrong("names too many features".into()))?);
    }
    if columns.is_empty() {
        return Err(wrong("names no feature; write one name a line".into()));
    }
    Ok(columns.into())
}

/// Numbers of the metadata `scorer.baseline`, one for each column; `None` when the
/// key is not there.
pub(super) fn baseline(
    proto: &pb::ModelProto,
    columns: usize,
    model: &str,
) -> Result<Option<Box<[f32]>>, ModelError> {
    const KEY: &str = "scorer.baseline";
    let Some(text) = metadata(proto, KEY) else { return Ok(None) };
    let wrong = |what: String| ModelError::Metadata { model: model.to_owned(), key: KEY, what };
    let mut values = Vec::with_capacity(columns);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()).take(columns + 1) {
        match line.parse::<f32>() {
            Ok(value) if value.is_finite() => values.push(value),
            _ => return Err(wrong(format!("line {} is no finite number", values.len() + 1))),
        }
    }
    if values.len() != columns {
        return Err(wrong(format!("has not one number for each of {columns} features")));
    }
    Ok(Some(values.into()))
}
