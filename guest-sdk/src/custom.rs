//! Custom fields: a small map by name. The standard library's would be a tenth of a rule's size.

use crate::model::Scalar;

/// CRM columns and Exchange named properties by name, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Custom(Vec<(String, Scalar)>);

impl Custom {
    pub fn get(&self, name: &str) -> Option<&Scalar> {
        self.place(name).ok().and_then(|at| self.0.get(at)).map(|(_, value)| value)
    }

    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Sets a field; answers what it was.
    pub fn insert(&mut self, name: &str, value: Scalar) -> Option<Scalar> {
        match self.place(name) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (name.to_owned(), value));
                None
            }
        }
    }

    /// Clears a field; answers what it was.
    pub fn remove(&mut self, name: &str) -> Option<Scalar> {
        self.place(name).ok().map(|at| self.0.remove(at).1)
    }

    /// Keeps the fields for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Scalar) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Scalar)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Where a name is, or where it belongs.
    #[inline(never)]
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| own.as_str().cmp(name))
    }
}

impl IntoIterator for Custom {
    type Item = (String, Scalar);
    type IntoIter = std::vec::IntoIter<(String, Scalar)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<N: AsRef<str>> Extend<(N, Scalar)> for Custom {
    fn extend<T: IntoIterator<Item = (N, Scalar)>>(&mut self, fields: T) {
        for (name, value) in fields {
            self.insert(name.as_ref(), value);
        }
    }
}

impl<N: AsRef<str>> FromIterator<(N, Scalar)> for Custom {
    fn from_iter<T: IntoIterator<Item = (N, Scalar)>>(fields: T) -> Self {
        let mut custom = Self::default();
        custom.extend(fields);
        custom
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_by_name() {
        let mut custom: Custom = [("b", Scalar::Number(2)), ("a", Scalar::Flag(true))].into_iter().collect();
        assert_eq!(custom.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(custom.insert("b", Scalar::Number(3)), Some(Scalar::Number(2)));
        assert_eq!((custom.get("b"), custom.get("c")), (Some(&Scalar::Number(3)), None));
        assert_eq!((custom.remove("a"), custom.remove("a")), (Some(Scalar::Flag(true)), None));
        custom.retain(|name, _| name != "b");
        assert!(custom.is_empty() && custom == Custom::default());
    }
}
