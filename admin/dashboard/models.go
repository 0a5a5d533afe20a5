package dashboard

var modelsPage = page{
	name: "models", path: home + "/models", title: "Model limits", menu: "Model limits", icon: "sliders",
	shows: "models",
}
