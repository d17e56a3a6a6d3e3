//! Sage CRM by its REST API.
