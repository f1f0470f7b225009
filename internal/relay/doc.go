// Package relay moves TCP connections to targets, byte by byte, as a network
// load balancer's listener does.
package relay
