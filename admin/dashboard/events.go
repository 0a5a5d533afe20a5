package dashboard

var eventsPage = page{
	name: "events", path: home + "/events", title: "Events", menu: "Events", icon: "list",
	shows: "what happens, as it happens: refusals, breakers, changes, reloads",
}
