package dashboard

var limitsPage = page{
	name: "limits", path: home + "/limits", title: "Limits", menu: "Limits", icon: "gauge",
	shows: "limits",
}
