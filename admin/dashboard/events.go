package dashboard

var eventsPage = page{
	name: "events", path: home + "/events", title: "Events", menu: "Events", icon: "list",
	shows: "events",
}
