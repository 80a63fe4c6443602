//! Whether everything that one schema allows is allowed by another one, and what is not.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::shape::{Definitions, Kind, Object, kinds, name, subject};

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Way {
    /// Clients: what the reference takes has to be taken.
    Read,
    /// The server: what is sent has to be what the reference sends.
    Sent,
}

/// Something that one side allows and the other one does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    /// The reference's type, and the field in it.
    pub(super) place: String,
    pub(super) way: Way,
    pub(super) what: String,
}

pub(super) struct Comparison<'a> {
    pub(super) ours: &'a Definitions,
    pub(super) theirs: &'a Definitions,
    way: Way,
    /// What is known of pairs of types; none while it is being found out.
    known: HashMap<(Way, String, String), Vec<Difference>>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(ours: &'a Definitions, theirs: &'a Definitions) -> Self {
        Self { ours, theirs, way: Way::Read, known: HashMap::new() }
    }

    /// What the reference takes and we do not.
    pub(super) fn read(&mut self, theirs: &Value, ours: &Value, place: &str) -> Vec<Difference> {
        self.way = Way::Read;
        self.schemas(theirs, ours, place)
    }

    /// What we send and the reference does not.
    pub(super) fn sent(&mut self, ours: &Value, theirs: &Value, place: &str) -> Vec<Difference> {
        self.way = Way::Sent;
        self.schemas(ours, theirs, place)
    }

    fn schemas(&mut self, given: &Value, taken: &Value, place: &str) -> Vec<Difference> {
        let (theirs, (of_given, of_taken)) = match self.way {
            Way::Read => (given, (self.theirs, self.ours)),
            Way::Sent => (taken, (self.ours, self.theirs)),
        };
        let key = subject(theirs).map(|_| (self.way, given.to_string(), taken.to_string()));
        let place = subject(theirs).unwrap_or(place);
        if let Some(known) = key.as_ref().and_then(|key| self.known.get(key)) {
            return known.clone();
        }
        if let Some(key) = &key {
            // A type that holds itself: what is inside is what is outside.
            self.known.insert(key.clone(), Vec::new());
        }
        let (given, taken) = (kinds(given, of_given), kinds(taken, of_taken));
        let found: Vec<Difference> =
            given.iter().flat_map(|kind| self.kind(kind, &given, &taken, place)).collect();
        if let Some(key) = key {
            self.known.insert(key, found.clone());
        }
        found
    }

    fn difference(&self, place: &str, what: impl Into<String>) -> Vec<Difference> {
        vec![Difference { place: place.to_owned(), way: self.way, what: what.into() }]
    }

    /// One kind of what is given against all kinds that are taken.
    fn kind(&mut self, kind: &Kind, given: &[Kind], taken: &[Kind], place: &str) -> Vec<Difference> {
        if taken.contains(&Kind::Anything) {
            return Vec::new();
        }
        match kind {
            Kind::Anything => self.difference(place, "anything, not only what is published"),
            Kind::Null | Kind::Bool => {
                let what = if *kind == Kind::Null { "null" } else { "true and false" };
                if taken.contains(kind) { Vec::new() } else { self.difference(place, what) }
            }
            Kind::Number(range) => {
                let fits = taken.iter().any(|other| match (range, other) {
                    (_, Kind::Number(None)) => true,
                    (Some(range), Kind::Number(Some(other))) => other.0 <= range.0 && range.1 <= other.1,
                    _ => false,
                });
                let what = match range {
                    Some((least, most)) => format!("numbers from {least} to {most}"),
                    None => "numbers with a fraction".to_owned(),
                };
                if fits { Vec::new() } else { self.difference(place, what) }
            }
            Kind::Text(texts) => self.texts(texts.as_ref(), taken, place),
            Kind::List(elements) => {
                let lists: Vec<Value> = taken
                    .iter()
                    .filter_map(|other| match other {
                        Kind::List(elements) => Some(elements.clone()),
                        _ => None,
                    })
                    .collect();
                let place_of_elements = format!("{place}[]");
                let best = lists
                    .iter()
                    .map(|other| self.schemas(elements, other, &place_of_elements))
                    .min_by_key(Vec::len);
                best.unwrap_or_else(|| self.difference(place, "a list"))
            }
            Kind::Object(object) => {
                let alone = given.iter().filter(|kind| matches!(kind, Kind::Object(_))).count() == 1;
                let place = match object.tag() {
                    Some(tag) if !alone => format!("{place}({tag})"),
                    _ => place.to_owned(),
                };
                let others: Vec<Object> = taken
                    .iter()
                    .filter_map(|other| match other {
                        Kind::Object(other) if object.may_be(other) => Some(other.clone()),
                        _ => None,
                    })
                    .collect();
                let best =
                    others.iter().map(|other| self.objects(object, other, &place)).min_by_key(Vec::len);
                best.unwrap_or_else(|| self.difference(&place, "an object"))
            }
        }
    }

    fn texts(&self, texts: Option<&BTreeSet<String>>, taken: &[Kind], place: &str) -> Vec<Difference> {
        let mut known = BTreeSet::new();
        for other in taken {
            match other {
                Kind::Text(None) => return Vec::new(),
                Kind::Text(Some(texts)) => known.extend(texts),
                _ => {}
            }
        }
        match texts {
            None if known.is_empty() => self.difference(place, "a text"),
            None => self.difference(place, "any text, not only what is published"),
            Some(texts) => texts
                .iter()
                .filter(|text| !known.contains(text))
                .flat_map(|text| self.difference(place, format!("`{text}`")))
                .collect(),
        }
    }

    fn objects(&mut self, given: &Object, taken: &Object, place: &str) -> Vec<Difference> {
        let mut found = Vec::new();
        for field in taken.required.difference(&given.required) {
            let place = format!("{place}.{field}");
            let what = if given.fields.contains_key(field) { "may be left out" } else { "is not there" };
            found.extend(self.difference(&place, what));
        }
        for (field, schema) in &given.fields {
            let place = format!("{place}.{field}");
            match (taken.fields.get(field), &taken.others) {
                (Some(other), _) => found.extend(self.schemas(schema, other, &place)),
                (None, Some(Value::Bool(false))) => found.extend(self.difference(&place, "is there")),
                (None, Some(others)) => found.extend(self.schemas(schema, others, &place)),
                // A reader that does not know a field takes no notice of it.
                (None, None) => {
                    let what = if self.way == Way::Read { "is not read" } else { "is sent as well" };
                    found.extend(self.difference(&place, what));
                }
            }
        }
        if let (Some(given), Some(taken)) = (&given.others, &taken.others) {
            found.extend(self.schemas(given, taken, &format!("{place}{{}}")));
        }
        found
    }
}

impl Object {
    /// The text by which readers tell this object from others.
    fn tag(&self) -> Option<String> {
        let literals = |schema: &Value| match kinds(schema, &Definitions::new()).as_slice() {
            [Kind::Text(Some(texts))] if texts.len() == 1 => texts.first().cloned(),
            _ => None,
        };
        let fields =
            self.fields.values().filter(|schema| name(schema).is_none() && schema.get("allOf").is_none());
        let tag = fields
            .filter(|schema| schema.get("anyOf").is_none() && schema.get("oneOf").is_none())
            .find_map(literals);
        tag.or_else(|| (self.required.len() == 1).then(|| self.required.first().cloned()).flatten())
    }

    /// Whether an object of this kind could be one of the other: no tag says that it is not.
    fn may_be(&self, other: &Self) -> bool {
        let literals = |schema: &Value| -> Option<BTreeSet<String>> {
            let texts = schema["const"].as_str().map(|text| [text.to_owned()].into());
            let list = || {
                let texts = schema["enum"].as_array()?.iter().filter_map(Value::as_str);
                Some(texts.map(str::to_owned).collect())
            };
            texts.or_else(list)
        };
        self.fields.iter().all(|(field, schema)| {
            let Some(other) = other.fields.get(field).and_then(literals) else { return true };
            literals(schema).is_none_or(|own| !own.is_disjoint(&other))
        })
    }
}
