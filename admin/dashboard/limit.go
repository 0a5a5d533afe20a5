package dashboard

var limitPage = page{
	name: "limit", path: home + "/limits/{domain}/{limit...}", title: "Limit", under: "limits",
	shows: "limit",
}
