//! A Sage CRM that speaks the REST API.
