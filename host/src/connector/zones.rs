//! Windows zone names to IANA and back, by CLDR's table.
