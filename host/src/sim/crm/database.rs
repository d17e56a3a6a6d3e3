//! The rows of the install, in memory.
//!
//! Promises: keys go up by one; audit columns are set on every change, to the second; a removed row stays, marked, and is
//! never shown again. Must not know: HTTP, sign-in, the doorbell.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDateTime;

use super::query::{Filter, Order};
use super::refusal::Refusal;
use super::schema::Entity;
use super::value::Value;

/// Rows one table may hold, removed ones included: far above any test, below what would exhaust the machine.
const ROWS_MAX: usize = 500_000;

/// Columns by which rows are looked up one by one: without an index each look would read the whole table.
const INDEXED: [&str; 3] = ["CmLi_Comm_CommunicationId", "Comm_DateTime", "Comm_MeetingId"];

/// The values of a row, in the order of its entity's columns.
pub type Row = Vec<Value>;

/// One entity with its rows.
#[derive(Debug)]
pub struct Table {
    pub entity: Entity,
    rows: BTreeMap<i32, Row>,
    last_key: i32,
    /// Keys by value, for the columns that are indexed; text as it is compared.
    indexes: HashMap<usize, BTreeMap<Value, BTreeSet<i32>>>,
}

/// Who changes a row, and when by the server's wall.
#[derive(Clone, Copy, Debug)]
pub struct By {
    pub user: i32,
    pub at: NaiveDateTime,
}

/// New values for some columns of a row.
pub type Values = Vec<(usize, Value)>;

impl Table {
    pub fn new(entity: Entity, last_key: i32) -> Self {
        let indexed = INDEXED.iter().filter_map(|name| entity.position(name));
        // Column 0 is the key.
        let indexes = indexed.chain([0]).map(|column| (column, BTreeMap::new())).collect();
        Self { entity, rows: BTreeMap::new(), last_key, indexes }
    }

    /// A row that is not removed.
    pub fn row(&self, key: i32) -> Option<&Row> {
        self.rows.get(&key).filter(|row| self.is_live(row))
    }

    /// Rows that are not removed, in order of their keys.
    pub fn rows(&self) -> impl Iterator<Item = (i32, &Row)> {
        self.rows.iter().filter(|(_, row)| self.is_live(row)).map(|(key, row)| (*key, row))
    }

    /// Rows that fit a condition, in the order asked for, equal ones in order of their keys.
    pub fn select(&self, filter: Option<&Filter>, orders: &[Order]) -> Vec<(i32, &Row)> {
        let fits = |(_, row): &(i32, &Row)| filter.is_none_or(|filter| filter.selects(row));
        let mut rows: Vec<_> = match filter.and_then(|filter| self.narrowed(filter)) {
            Some(keys) => keys.into_iter().filter_map(|key| Some((key, self.row(key)?))).filter(fits).collect(),
            None => self.rows().filter(fits).collect(),
        };
        if !orders.is_empty() {
            rows.sort_by(|(_, a), (_, b)| Order::compare(orders, a, b));
        }
        rows
    }

    /// The only keys that may fit, where an index tells.
    fn narrowed(&self, filter: &Filter) -> Option<BTreeSet<i32>> {
        let (index, spans) =
            filter.spans().into_iter().find_map(|(column, spans)| Some((self.indexes.get(&column)?, spans)))?;
        let spans = spans.into_iter().map(|(low, high)| (low.folded(), high.folded()));
        let found = spans.filter(|(low, high)| low <= high).flat_map(|(low, high)| index.range(low..=high));
        Some(found.flat_map(|(_, keys)| keys.iter().copied()).collect())
    }

    /// Puts a row in its place, and in the indexes.
    fn file(&mut self, key: i32, row: Row) {
        let old = self.rows.get(&key);
        for (column, index) in &mut self.indexes {
            let at = |row: &Row| row.get(*column).map(Value::folded);
            if let Some(keys) = old.and_then(at).and_then(|old| index.get_mut(&old)) {
                keys.remove(&key);
            }
            index.entry(at(&row).unwrap_or(Value::Null)).or_default().insert(key);
        }
        self.rows.insert(key, row);
    }

    /// The value of a column by its name; absent where there is no such column.
    pub fn value<'a>(&self, row: &'a Row, name: &str) -> &'a Value {
        self.entity.position(name).and_then(|position| row.get(position)).unwrap_or(&Value::Null)
    }

    /// Adds a row and answers its key.
    ///
    /// # Errors
    /// If a mandatory column has no value, or the table is full.
    pub fn insert(&mut self, values: Values, by: By) -> Result<i32, Refusal> {
        self.insert_all(vec![values], by).map(|keys| keys.first().copied().unwrap_or_default())
    }

    /// Adds rows, all of them or none, and answers their keys.
    ///
    /// # Errors
    /// If a mandatory column has no value, or the table is full.
    pub fn insert_all(&mut self, all: Vec<Values>, by: By) -> Result<Vec<i32>, Refusal> {
        if self.rows.len() + all.len() > ROWS_MAX {
            return Err(Refusal::bad_data(format!("{} holds {ROWS_MAX} rows and takes no more", self.entity.name)));
        }
        let first = self.last_key.saturating_add(1);
        let made = (first..).zip(all).map(|(key, values)| Ok((key, self.made(key, values, by)?)));
        let made = made.collect::<Result<Vec<_>, Refusal>>()?;
        let keys: Vec<i32> = made.iter().map(|(key, _)| *key).collect();
        made.into_iter().for_each(|(key, row)| self.file(key, row));
        self.last_key = keys.last().copied().unwrap_or(self.last_key);
        Ok(keys)
    }

    /// A new row.
    fn made(&self, key: i32, values: Values, by: By) -> Result<Row, Refusal> {
        let mut row = vec![Value::Null; self.entity.columns.len()];
        put(&mut row, 0, Value::Int(key));
        for (position, value) in values {
            put(&mut row, position, value);
        }
        let missing =
            self.entity.columns.iter().zip(&row).find(|(column, value)| column.mandatory && **value == Value::Null);
        if let Some((column, _)) = missing {
            return Err(Refusal::bad_data(format!("{} needs a value", column.name)));
        }
        let audit = self.entity.audit;
        put(&mut row, audit.created_by, Value::Int(by.user));
        put(&mut row, audit.created_date, Value::Time(by.at));
        self.stamp(&mut row, by);
        Ok(row)
    }

    /// Writes some columns of a row.
    ///
    /// # Errors
    /// If there is no such row, or a mandatory column would lose its value.
    pub fn update(&mut self, key: i32, values: Values, by: By) -> Result<(), Refusal> {
        let Some(mut row) = self.row(key).cloned() else {
            return Err(Refusal::no_record(self.entity.name, &key.to_string()));
        };
        for (position, value) in values {
            if value == Value::Null && self.entity.columns.get(position).is_some_and(|column| column.mandatory) {
                let name = self.entity.columns.get(position).map_or("", |column| &column.name);
                return Err(Refusal::bad_data(format!("{name} needs a value")));
            }
            put(&mut row, position, value);
        }
        self.stamp(&mut row, by);
        self.file(key, row);
        Ok(())
    }

    /// Marks a row as removed.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn remove(&mut self, key: i32, by: By) -> Result<(), Refusal> {
        self.update(key, vec![(self.entity.audit.deleted, Value::Int(1))], by)
    }

    fn stamp(&self, row: &mut Row, by: By) {
        let audit = self.entity.audit;
        put(row, audit.updated_by, Value::Int(by.user));
        put(row, audit.updated_date, Value::Time(by.at));
        put(row, audit.time_stamp, Value::Time(by.at));
    }

    fn is_live(&self, row: &Row) -> bool {
        !row.get(self.entity.audit.deleted).is_some_and(Value::is_set)
    }
}

/// All tables of the install.
#[derive(Debug, Default)]
pub struct Database {
    tables: Vec<Table>,
}

impl Database {
    pub fn add(&mut self, table: Table) {
        self.tables.push(table);
    }

    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// A table by its entity's name in any letter case.
    ///
    /// # Errors
    /// `ResourceKindNotFound`.
    pub fn table(&self, name: &str) -> Result<&Table, Refusal> {
        self.tables
            .iter()
            .find(|table| table.entity.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| Refusal::no_entity(name))
    }

    /// The same, to change it.
    ///
    /// # Errors
    /// `ResourceKindNotFound`.
    pub fn table_mut(&mut self, name: &str) -> Result<&mut Table, Refusal> {
        self.tables
            .iter_mut()
            .find(|table| table.entity.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| Refusal::no_entity(name))
    }
}

fn put(row: &mut Row, position: usize, value: Value) {
    if let Some(place) = row.get_mut(position) {
        *place = value;
    }
}
