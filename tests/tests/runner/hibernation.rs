//! WebSockets that can hibernate.
