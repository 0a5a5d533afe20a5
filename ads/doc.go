// Package ads gets rules from a control plane over ADS, Envoy's aggregated discovery
// service: state of the world, resources of the type [TypeURL].
//
// A response is a message for each domain (message.go), which becomes a rule file
// (write.go), so that whatever is checked of rule files and told of them holds here too;
// places are told by the path in the message (path.go). What is good of a response is in
// force, and the response is acknowledged if all of it is (stream.go); the client connects
// anew for as long as it runs (client.go).
//
// The message is read by its field numbers and stands in no registry of protobuf: the
// modules of the reference service and of go-control-plane register older versions of it
// under the same name, and two of one name end the process.
package ads
