//! Underpass over sockets: HTTP and WebSocket for clients, WebSocket for runners.
